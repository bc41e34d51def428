"""The peer that measures effect sizes place by place."""
