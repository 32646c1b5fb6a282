"""The endpoints as tools of an MCP server.

Gradio's own server returns results as Python prints them, pictures as paths, and choices without types. This one
returns JSON, pictures, titles and hints, and takes files that were uploaded to the app.
"""

import json
from typing import Any

from gradio.mcp import GradioMCPServer
from gradio_client.utils import is_file_obj_with_meta
from mcp import types
from mcp.server import Server

from app.api.endpoints import ENDPOINTS

TITLES = {function.__name__: title for function, title in ENDPOINTS.items()}


class Tools(GradioMCPServer):
    """Gradio's MCP server for this app's tools, with answers in MCP's own formats."""

    def create_mcp_server(self) -> Server:
        """Gradio's server, with our descriptions of tools, and structured content in results."""
        server = super().create_mcp_server()
        listed, called = (
            server.request_handlers[kind] for kind in (types.ListToolsRequest, types.CallToolRequest)
        )

        async def list_tools(request: types.ListToolsRequest) -> types.ServerResult:
            result = await listed(request)
            for tool in result.root.tools:  # pyright: ignore[reportAttributeAccessIssue]
                _describe(tool, self._name(tool.name))
            return result

        async def call_tool(request: types.CallToolRequest) -> types.ServerResult:
            result = await called(request)
            _structure(result.root)  # pyright: ignore[reportArgumentType]
            return result

        server.request_handlers[types.ListToolsRequest] = list_tools
        server.request_handlers[types.CallToolRequest] = call_tool
        return server

    def _name(self, tool: str) -> str:
        return tool.removeprefix(self.tool_prefix)

    def get_input_schema(
        self, tool_name: str, parameters: dict[str, str] | None = None
    ) -> tuple[dict[str, Any], list[list[str | int]]]:
        """Gradio's schema, with a type for each choice, all defaults, and no additional properties."""
        schema, places = super().get_input_schema(tool_name, parameters)
        info = self.api_info["named_endpoints"][self.tool_to_endpoint[tool_name]]["parameters"]
        arguments = schema["properties"]
        for parameter in info:
            name = parameter["parameter_name"]
            arguments[name] = _plain(arguments[name])
            if parameter.get("parameter_has_default"):
                arguments[name]["default"] = parameter.get("parameter_default")
        return {**schema, "additionalProperties": False}, places

    @property
    def _file_data_tool_description(self) -> str:
        return ""

    def convert_strings_to_filedata(self, value: Any, filedata_positions: list[list[str | int]]) -> Any:
        """Return the value unchanged: Gradio would fetch URLs here. `app.page.source_text` parses files."""
        return value

    async def _execute_tool_without_progress(self, job: Any) -> list[Any]:
        (result,) = await super()._execute_tool_without_progress(job)
        return list(result) if isinstance(result, tuple) else [result]

    def postprocess_output_data(
        self, data: Any, root_url: str
    ) -> list[types.TextContent | types.ImageContent]:
        """Facts as JSON, pictures as images, files by URL."""
        facts = [_json(output) for output in data if not is_file_obj_with_meta(output)]
        files = [output for output in data if is_file_obj_with_meta(output)]
        return [*facts, *super().postprocess_output_data(files, root_url)]


def _json(output: Any) -> types.TextContent:
    text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
    return types.TextContent(type="text", text=text)


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Add a type to an argument's choices, and remove Gradio's description of files."""
    if "enum" in schema:
        return {"type": "string", **schema}
    if "oneOf" in schema:
        options = [_plain(option) for option in reversed(schema["oneOf"])]
        return {"anyOf": options, **{key: value for key, value in schema.items() if key != "oneOf"}}
    if "items" in schema:
        return {**schema, "items": _plain(schema["items"])}
    return {key: value for key, value in schema.items() if key not in ("format", "required")}


def _describe(tool: types.Tool, name: str) -> None:
    """Set title and hints: every tool is read-only and idempotent; two of them read from the Hub."""
    tool.title = TITLES[name]
    tool.annotations = types.ToolAnnotations(
        title=tool.title, readOnlyHint=True, destructiveHint=False, idempotentHint=True,
        openWorldHint="hub_id" in tool.inputSchema["properties"],
    )  # fmt: skip


def _structure(result: types.CallToolResult) -> None:
    """Add the facts of the text as structured content (an object), with the URLs of files."""
    if result.isError:
        return
    texts = [part.text for part in result.content if isinstance(part, types.TextContent)]
    facts = json.loads(texts[0])
    result.structuredContent = facts if isinstance(facts, dict) else {"result": facts}
    if texts[1:]:
        result.structuredContent["files"] = [text.removeprefix("Image URL: ") for text in texts[1:]]
