"""From a plan to a run folder: the only place where prompts, designs, generators and runs meet."""
