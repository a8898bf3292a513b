"""Labels: templates, geometry and writers.

`render.render` is the way in. Everything is a function of its arguments: no database, no clock, no settings.

    labels/*.toml → catalogue → Template ─┐
                              LabelData ──┼→ layout.compose → Layout (dots) → png · svg · pdf · zpl
                              host, dpi ──┘
"""
