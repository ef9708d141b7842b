"""What all attacks share: the interface, the budget, the guard, the draws and the losses."""
