#!/bin/sh
# Becomes Alertmanager, with the receivers whose credentials the environment holds: keys go from there to files, and a receiver
# without any is left out, as it could only fail. `none` says the same as nothing: it is what a secret holds until it is filled.
set -eu
umask 077
folder=$(mktemp -d)
config=$folder/alertmanager.yml
sed "s|/run/credentials|$folder|" "$(dirname "$0")/alertmanager.yml" >"$config"

is_set() { [ -n "$1" ] && [ "$1" != none ]; }

leave_out() { edit "/# begin $1\$/,/# end $1\$/d"; }

put() {
  value=$(printf '%s' "$2" | sed "s/'/''/g; s/[\\\\&|]/\\\\&/g")
  edit "s|^\\([ -]* $1:\\) .*|\\1 '$value'|"
}

edit() { sed "$1" "$config" >"$config.new" && mv "$config.new" "$config"; }

if is_set "${SLACK_URL:-}"; then
  printf '%s' "$SLACK_URL" >"$folder/slack-url"
else
  leave_out slack
fi

if is_set "${PAGERDUTY_ROUTING_KEY:-}"; then
  printf '%s' "$PAGERDUTY_ROUTING_KEY" >"$folder/pagerduty-routing-key"
else
  leave_out pagerduty
fi

if is_set "${SMTP_SMARTHOST:-}" && is_set "${SMTP_USERNAME:-}" && is_set "${SMTP_PASSWORD:-}" &&
  is_set "${EMAIL_FROM:-}" && is_set "${EMAIL_TO:-}"; then
  put smarthost "$SMTP_SMARTHOST"
  put from "$EMAIL_FROM"
  put to "$EMAIL_TO"
  put auth_username "$SMTP_USERNAME"
  printf '%s' "$SMTP_PASSWORD" >"$folder/smtp-password"
else
  leave_out email
fi

unset SLACK_URL PAGERDUTY_ROUTING_KEY SMTP_PASSWORD
exec alertmanager --config.file="$config" "$@"
