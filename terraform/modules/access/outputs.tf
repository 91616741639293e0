output "documents" {
  description = "Names of the SSM documents: the host program's and exec's."
  value = {
    exec = aws_ssm_document.exec.name
    host = aws_ssm_document.host.name
  }
}

output "instance_profile" {
  description = "Instance profile of the hosts, given out once its role is complete."
  value       = aws_iam_instance_profile.host.name

  # A host that boots before its policy stands cannot register with SSM.
  depends_on = [aws_iam_role_policy.host]
}

output "roles" {
  description = "ARNs of the roles for people and CI, null where there is none."
  value = {
    ci       = one(aws_iam_role.ci[*].arn)
    operator = one(aws_iam_role.operator[*].arn)
  }
}
