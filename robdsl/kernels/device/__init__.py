"""What runs on the GPU: functions in Triton's language. Importing this package needs Triton.

Maps are NHWC in memory. A tile is a set of positions of the *output* map of a stage, M rows, by a block of channels.
Blocks of channels are small (16 by default) so that 36 channels cost 48 and not 64; where all blocks of a tile must
be on chip at once they are a tuple. Sizes of maps are compile-time constants: a net has few distinct ones.
"""
