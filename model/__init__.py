"""The values everything else is made of: no I/O, no state, nothing imported from above."""
