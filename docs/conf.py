"""How Sphinx builds this documentation: offline, from Markdown pages and the package's own docstrings."""

from importlib.metadata import version as installed_version

# Before the first page is read: autodoc writes what it finds in pydantic's source into the annotations of
# pydantic's own class, and a model that is made after that is refused.
import kpl.curation
import kpl.report
import kpl.server  # noqa: F401

project = "Knowledge Proxy Learning"
author = "The KPL contributors"
copyright = author
version = release = installed_version("knowledge-proxy-learning")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["deflist"]  # no dollarmath: typeset formulas would fetch MathJax from a network
myst_heading_anchors = 3

default_role = "code"  # docstrings write `name` as Markdown does
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "exclude-members": "model_config"}  # pydantic's own plumbing
napoleon_use_ivar = True
suppress_warnings = ["ref.python"]  # attributes of the same name in two classes: the text says which is meant

html_theme = "furo"
html_title = f"KPL {release}"
html_show_copyright = False
html_extra_path = ["../src/kpl/knowledge/knowledge.schema.json"]  # for editors, at the root of the pages
