#!/bin/sh
# install_models.sh FROM TO: lays the deployment pointer and its bundles of FROM into TO.
# The pointer comes last and by rename, so that a service that follows TO never sees half of it.
set -eu
from=$1
to=$2
mkdir -p "$to/deployed"
for bundle in "$from"/deployed/*; do
    name=${bundle##*/}
    [ -e "$to/deployed/$name" ] && continue
    rm -rf "$to/deployed/.$name.part"
    cp -R "$bundle" "$to/deployed/.$name.part"
    mv "$to/deployed/.$name.part" "$to/deployed/$name"
done
cp "$from/deployment.json" "$to/.deployment.json.part"
mv "$to/.deployment.json.part" "$to/deployment.json"
for bundle in "$to"/deployed/*; do
    [ -e "$from/deployed/${bundle##*/}" ] || rm -rf "$bundle"
done
