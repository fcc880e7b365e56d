"""What flows through: plans, their tasks and waves, skills, results and decisions."""
