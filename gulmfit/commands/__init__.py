"""What each command does, one file each; its options are those of the function that the command ends in."""
