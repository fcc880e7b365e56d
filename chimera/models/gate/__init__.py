"""The gate: policies, rules, opinions, reviews, and what they say of confidences."""
