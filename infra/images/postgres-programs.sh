#!/bin/sh
# Postgres's programs for backups, in a folder that an image without Postgres can copy to the same place: those in bin/
# are scripts that show each program, and it alone, the libraries it needs. The C library stays the other image's.
# usage: postgres-programs.sh FOLDER
set -eu
mkdir -p "$1/bin" "$1/lib"
for program in pg_dump pg_restore psql; do
    cp /usr/lib/postgresql/*/bin/$program "$1/$program"
    libraries=$(ldd "$1/$program" | sed -n '/libc\.so/d; s/.* => \(.*\) (.*/\1/p')
    # shellcheck disable=SC2086 # a list of names
    cp --dereference $libraries "$1/lib"
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s/lib exec %s/%s "$@"\n' "$1" "$1" $program >"$1/bin/$program"
    chmod 0555 "$1/bin/$program"
done
