"""Circuits: pictures, centre lines and generated ones become stacked device arrays that answer
where a kart is.

Host side: `load` (names and files), `image` and `trace` (PNG to centre line), `checkpoints` and
`marks` (the JSON beside it), `importers`, `generate`, `line`, `field` (arrays), `stack`, `cache`,
`preview`. Device side: `types`, `query`.
"""
