FROM base
ENV URL=https://example.com/x GIT=git@example.com:x
COPY $URL /
COPY $GIT /
ADD --checksum=sha256:00 https://example.com/x /
ADD --checksum=sha256:00 https://example.com/x y /
ADD --checksum=sha256:00 local /
ADD --checksum=zzz https://example.com/x.git /
ADD https://example.com/x.git?rf=1 /
ADD https://me:secret@/x /
ADD --keep-git-dir=false https://example.com/x.git?keep-git-dir=1 /
ADD --chmod=999 a /
COPY --chmod=u+q a /
