"""What scaling would do with a load: target tracking replayed against the latency that was measured.

Pure: from a curve, a load and a policy to minutes. Rules of target tracking are `target_tracking`'s.
"""
