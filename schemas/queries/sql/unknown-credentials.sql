/*
name: unknown-credentials
title: Credentials the directory does not vouch for
question: Which credentials were used that are unknown, expired or revoked, or which calls came without one?
parameters:
  - name: from
    type: DateTime('UTC')
    default: now-30d
    description: Last use at or after this time.
*/
SELECT
    credential_fingerprint,
    last4,
    kind,
    credential_status,
    provider,
    team_id,
    app_id,
    call_count,
    denied_count,
    first_used_at,
    last_used_at,
    model_names,
    total_cost_usd
FROM v_credential_inventory
WHERE credential_status != 'active' AND last_used_at >= {from:DateTime('UTC')}
ORDER BY last_used_at DESC, credential_fingerprint, provider
