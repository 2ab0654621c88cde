#: ignore dist
#: ignore *.log
FROM base AS a
FROM base
COPY dist /
COPY src ./dist/x /
ADD a.log /
COPY --from=a dist /
COPY . /
