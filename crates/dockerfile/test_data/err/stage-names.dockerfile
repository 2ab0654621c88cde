FROM a AS 1st
FROM a AS b/c
FROM a AS
FROM a b
FROM a AS b c
FROM a AS b  # comment
