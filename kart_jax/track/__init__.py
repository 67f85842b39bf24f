"""Circuits: pictures, centre lines and generated ones become stacked device arrays.

The arrays answer where a kart is. Host side: `catalogue` (which track is meant), `derive` (its
arrays, by way of `cache`), `image` and `trace` (PNG to centre line), `entry`, `entry_file` and
`gate_places` (the JSON beside it), `importers`, `generate` with `corners` and `clearance`, `line`,
`field` (arrays), `stack`, `draw` (centre line to PNG), `layouts` and `layout_line` (the shipped
circuits), `preview`. Device side: `types`, `query`.
"""
