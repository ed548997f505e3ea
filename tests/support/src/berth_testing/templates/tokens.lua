-- An access token for many mailboxes (Microsoft's, of an application) names no user, and the oauth2 password database wants one.
-- Its file, named by the end of the token, has the whole token and then the mailboxes that it opens, one a line.
function auth_password_verify(request, token)
  local name = token:sub(-60)
  if #token < 60 or not name:match("^[%w_-]+$") then return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, "no token" end
  local file = io.open("@TOKENS@/" .. name, "r")
  if not file then return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, "unknown token" end
  local opens = file:read("l") == token
  local mailbox = false
  for line in file:lines() do if line == request.user:lower() then mailbox = true end end
  file:close()
  if opens and mailbox then return dovecot.auth.PASSDB_RESULT_OK, {} end
  return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, "not this mailbox"
end

function auth_passdb_lookup(request)
  return dovecot.auth.PASSDB_RESULT_USER_UNKNOWN, ""
end
