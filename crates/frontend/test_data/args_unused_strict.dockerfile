# check=error=true
#: arg NOBODY=takes
FROM base
