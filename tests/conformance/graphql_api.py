"""Requests against a GraphQL schema given as an introspection result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError, build_client_schema, parse, validate
from graphql.execution.values import get_variable_values
from graphql.language import OperationDefinitionNode

from integrations.contracts import HttpRequest


class GraphQl:
    """One schema."""

    def __init__(self, introspection: Mapping[str, Any]) -> None:
        self._schema = build_client_schema(introspection)  # type: ignore[arg-type]

    def problems(self, request: HttpRequest) -> list[str]:
        """What is wrong with the document or its variables."""
        body = json.loads(request.body)
        try:
            document = parse(body["query"])
        except GraphQLError as error:
            return [str(error)]
        if found := validate(self._schema, document):
            return [error.message for error in found]
        operation = document.definitions[0]
        if not isinstance(operation, OperationDefinitionNode):
            return ["the document does not begin with an operation"]
        values = get_variable_values(
            self._schema, operation.variable_definitions or (), body.get("variables") or {}
        )
        if isinstance(values, list):
            return [error.message for error in values]
        return []
