-- slow<N>@ authenticates after N seconds (password "secret"); tempfail@ fails for now; gone@ is disabled;
-- the password of expired@ has expired. Runs in auth workers (blocking=yes), so nobody else waits.
function auth_password_verify(request, password)
  local seconds = request.user:match("^slow(%d+)@")
  if seconds then
    os.execute("sleep " .. tonumber(seconds))
    if password == "secret" then return dovecot.auth.PASSDB_RESULT_OK, {} end
    return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, "mismatch"
  end
  if request.user:match("^tempfail@") then return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "out of order" end
  if request.user:match("^gone@") then return dovecot.auth.PASSDB_RESULT_USER_DISABLED, "disabled" end
  if request.user:match("^expired@") then return dovecot.auth.PASSDB_RESULT_PASS_EXPIRED, "expired" end
  return dovecot.auth.PASSDB_RESULT_USER_UNKNOWN, "no such user"
end

function auth_passdb_lookup(request)
  return dovecot.auth.PASSDB_RESULT_USER_UNKNOWN, ""
end
