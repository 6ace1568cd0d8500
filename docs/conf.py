"""How Sphinx makes the site: Markdown by MyST, theme furo, nothing fetched from anywhere when it is built or read.

    make docs                                                   work/site/index.html

Every warning is an error there and in the tests (-W): a link to a page, a file or a heading that is not there ends it.
Configuration and command reference are made from the code while the site is built (reference_pages.py), so that no
file of them can be old.
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import pinrec_core  # noqa: E402  (its folder is on the path only now)

project = "pinrec"
version = release = pinrec_core.__version__
extensions = ["myst_parser", "reference_pages"]
source_suffix = {".md": "markdown"}
nitpicky = True
smartquotes = False  # "" is a value in many places
# Indented blocks are commands, output and TOML alike.
highlight_language = "none"

myst_heading_anchors = 4  # links to headings are checked down to this level
myst_enable_extensions = ["html_image"]

html_theme = "furo"
html_title = f"pinrec {version}"
html_show_sourcelink = html_show_copyright = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}
