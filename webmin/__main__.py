"""``python -m webmin``: the command ``moontide``."""

from webmin.command import main

main()
