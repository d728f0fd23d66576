"""Jira's query language: read it, and tell whether a change of an issue may change a query's answer."""

from policies.jql.errors import JqlError
from policies.jql.parser import parse
from policies.jql.query import Query

__all__ = ["JqlError", "Query", "parse"]
