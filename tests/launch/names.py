"""Names of files and folders as people have them."""

NAMES = (
    *("clip one", "clip (1)", "it's", 'dq"x', "`tick`", "a'b\"c", "[x] y", "{x} y", "a{b,c}", "<x>"),
    *("$5", "a$b", "#1", "100%", "k=v", "a,b", "a;b", "a!b", "a&b", "a|b", "a:b", "a@b", "a+b", "^a"),
    *("x~", "~x", "-lead", " lead", "trail ", "a*b", "a?b", "a\\b", "end\\", "a\\'b", "a\nb", "a\tb"),
    *("übung", "视频", "فيديو", "😀", "123", "1e3", "true", "no"),
)
"""Names that are taken as they are typed."""
BRACKETED = ("[x]", "[a,b]", "'q'", '"q"')
"""Names that are a list or quoted to Hydra unless a file is called so."""
