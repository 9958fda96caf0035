# What the project needs of the system. Sourced; `missing_packages` prints what is not there.
# File name of a library, then the Debian packages that bring it: LIBERO's pictures need a headless OpenGL, OpenCV needs GLib.
SYSTEM_LIBRARIES=(
  "libOSMesa.so libosmesa6"
  "libEGL.so.1 libegl1 libegl-mesa0 libgl1-mesa-dri"
  "libGL.so.1 libgl1"
  "libglib-2.0.so.0 libglib2.0-0"
)

# The linker's list of libraries. An ordinary user's PATH holds no sbin on Debian, so ldconfig is called where it lies.
linker_list() {
  local tool
  for tool in /sbin/ldconfig /usr/sbin/ldconfig /usr/bin/ldconfig; do
    if [ -x "$tool" ]; then "$tool" -p 2>/dev/null || true; return; fi
  done
}

# Whether the list in $libraries, or a folder of libraries, holds a file whose name begins so.
has_library() {
  [[ $libraries == *$'\t'"$1"* ]] || in_folder /usr/lib "$1" || in_folder /usr/lib64 "$1" || in_folder "/usr/lib/*" "$1"
}
in_folder() { compgen -G "$1/$2*" >/dev/null; }

# Debian packages of those libraries (by default all that are needed) that were not found, one a line.
missing_packages() {
  local libraries entry
  libraries=$(linker_list)
  [ $# -gt 0 ] || set -- "${SYSTEM_LIBRARIES[@]}"
  for entry in "$@"; do
    has_library "${entry%% *}" || printf '%s\n' ${entry#* }
  done
}
