"""Fine-tuning on a brand's own pictures: data, families of models, methods, and the task that the loop trains."""
