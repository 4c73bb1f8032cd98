"""Run one experiment, or a study of many: grids, controls, seeds and the run store."""
