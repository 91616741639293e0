# Parameters reach the scripts as environment variables, never as text pasted into
# them: no quoting to get wrong, and nothing of them in a process list.

resource "aws_ssm_document" "host" {
  name            = "${local._name}-host"
  document_type   = "Command"
  document_format = "JSON"

  content = jsonencode({
    schemaVersion = "2.2"
    description   = "Hand one request to the host program that comes with it"
    parameters = {
      program = {
        type              = "String"
        description       = "The host program: gzip, base64"
        allowedPattern    = "^[A-Za-z0-9+/=]+$"
        interpolationType = "ENV_VAR"
      }
      request = {
        type              = "String"
        description       = "The request: JSON, base64"
        allowedPattern    = "^[A-Za-z0-9+/=]+$"
        interpolationType = "ENV_VAR"
      }
      executionTimeout = {
        type           = "String"
        description    = "Seconds the request may take"
        default        = "600"
        allowedPattern = "^[1-9][0-9]{0,4}$"
      }
    }
    mainSteps = [{
      action       = "aws:runShellScript"
      name         = "host"
      precondition = { StringEquals = ["platformType", "Linux"] }
      inputs = {
        timeoutSeconds = "{{ executionTimeout }}"
        runCommand     = split("\n", trimspace(file("${path.module}/scripts/host.sh")))
      }
    }]
  })
}

resource "aws_ssm_document" "exec" {
  name            = "${local._name}-exec"
  document_type   = "Command"
  document_format = "JSON"

  content = jsonencode({
    schemaVersion = "2.2"
    description   = "Run one command, given as a list of arguments"
    parameters = {
      argv = {
        type              = "String"
        description       = "The arguments: a JSON list of strings, base64"
        allowedPattern    = "^[A-Za-z0-9+/=]+$"
        interpolationType = "ENV_VAR"
      }
      executionTimeout = {
        type           = "String"
        description    = "Seconds the command may take"
        default        = "600"
        allowedPattern = "^[1-9][0-9]{0,4}$"
      }
    }
    mainSteps = [{
      action       = "aws:runShellScript"
      name         = "exec"
      precondition = { StringEquals = ["platformType", "Linux"] }
      inputs = {
        timeoutSeconds = "{{ executionTimeout }}"
        runCommand     = split("\n", trimspace(file("${path.module}/scripts/exec.sh")))
      }
    }]
  })
}
