#!/usr/bin/env bash
# Sets up Autobahn|Testsuite, which knows no newer Python than 2.7: setup.sh FOLDER. Afterwards FOLDER/wstest is the suite.
# Python 2.7 is Debian bullseye's, unpacked and not installed. Everything comes from where apt-get and pip are configured to look.
# For Debian on x86-64, with gcc, python3 and its pip; anybody may run it.
set -euo pipefail
if [[ $(dpkg --print-architecture 2>/dev/null) != amd64 ]]; then
    echo "Autobahn: its Python 2.7 is Debian's, for x86-64; there is none for this machine." >&2
    exit 1
fi
archive=$(apt-get indextargets --format '$(REPO_URI)' | awk '/\/debian\/$/ && !found++')
if [[ -z $archive ]]; then
    echo "Autobahn: none of apt's sources is a Debian archive, a URI that ends in /debian." >&2
    exit 1
fi
pins=$(cd "$(dirname "$0")" && pwd)/pins.txt
rm -rf "$1" "$1.new"
mkdir -p "$1.new"
folder=$(cd "$1.new" && pwd)
cd "$folder"

echo "Autobahn: unpacking Python 2.7"
mkdir -p apt/state/lists/partial apt/cache/archives/partial debs
: > apt/status
cat > apt/bullseye.sources <<SOURCES
Types: deb
URIs: $archive
Suites: bullseye
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
# An apt of its own: the machine's sources and packages stay as they are.
own=(-qq -o "Dir::Etc::sourcelist=$folder/apt/bullseye.sources" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State=$folder/apt/state" -o "Dir::State::status=$folder/apt/status" -o "Dir::Cache=$folder/apt/cache"
    -o APT::Sandbox::User=root)
apt-get "${own[@]}" update
(cd debs && apt-get "${own[@]}" download \
    python2.7-minimal libpython2.7-minimal libpython2.7-stdlib libpython2.7-dev libssl1.1 libffi7)
for deb in debs/*.deb; do dpkg-deb -x "$deb" root; done

echo "Autobahn: installing the suite"
cat > python2 <<'PYTHON'
#!/bin/sh
folder=$(dirname "$(readlink -f "$0")")
unset PYTHONHOME PYTHONSTARTUP
export LD_LIBRARY_PATH="$folder/root/usr/lib/x86_64-linux-gnu" PYTHONNOUSERSITE=1 PYTHONWARNINGS=ignore
exec "$folder/root/usr/bin/python2.7" "$@"
PYTHON
cat > wstest <<'WSTEST'
#!/bin/sh
# zope is a namespace package whose .pth file must run, so the folder is made a site directory.
folder=$(dirname "$(readlink -f "$0")")
unset PYTHONPATH
exec "$folder/python2" -c "import site; site.addsitedir('$folder/site')
from autobahntestsuite.wstest import run; run()" "$@"
WSTEST
chmod +x python2 wstest
# pip 20.3.4 is the last for Python 2. It runs from its wheel; the two others build what has no wheel.
python3 -m pip -qq download --no-deps --python-version 27 --only-binary=:all: -d tools pip==20.3.4 setuptools==44.1.1 wheel==0.37.1
export CPATH="$folder/root/usr/include/python2.7:$folder/root/usr/include"
pip2() { ./python2 -m pip -qq --no-python-version-warning --disable-pip-version-check install --no-deps --no-compile "$@"; }
PYTHONPATH=$(echo tools/pip-*.whl) pip2 --no-index -t boot tools/*.whl
PYTHONPATH="$folder/boot" pip2 --no-build-isolation -t site -r "$pins"
./wstest -a

rm -rf apt boot debs tools
mv "$folder" "${folder%.new}"  # only now: what was interrupted is not taken for a whole one
