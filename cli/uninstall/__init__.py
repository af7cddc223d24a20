"""`pynet uninstall`: the plugins' places given back, and, with --purge, all that pynet has made."""
