"""From run folders to tables, figures and one page. Needs no torch, so it runs anywhere."""
