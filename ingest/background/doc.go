// Package background gives way to calls: what the audit computes runs on threads that get what calls leave.
package background
