/*
name: credential-inventory
title: Credential inventory
question: Which credentials exist in traffic, whose are they, when were they last used, and for what?
parameters:
  - name: status
    type: String
    default: ""
    values: ["", active, unknown, expired, revoked, none]
    description: Status in the directory at the time of use; empty means every status.
  - name: team
    type: String
    default: ""
    description: Team id; empty means every team.
*/
SELECT
    credential_fingerprint,
    last4,
    kind,
    credential_id,
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
WHERE ({status:String} = '' OR credential_status = {status:String})
  AND ({team:String} = '' OR team_id = {team:String})
ORDER BY team_id, app_id, credential_fingerprint, provider, credential_status
