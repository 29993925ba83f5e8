"""`torchrun` as a script, for `start_torchrun` of forked.py."""

from torch.distributed.run import main

if __name__ == "__main__":
    main()
