// Starts `robdsl lsp`, and shows the drawings that it makes.
const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

async function showCell() {
  const editor = vscode.window.activeTextEditor;
  if (!editor || !client) {
    return;
  }
  const position = { line: editor.selection.active.line, character: editor.selection.active.character };
  const drawn = await client.sendRequest("workspace/executeCommand", {
    command: "robdsl.drawCell",
    arguments: [editor.document.uri.toString(), position],
  });
  if (!drawn) {
    vscode.window.showInformationMessage("There is no cell of a whole net or space under the cursor.");
    return;
  }
  const title = `${drawn.net}: ${drawn.stage}`;
  const panel = vscode.window.createWebviewPanel("robdsl.cell", title, vscode.ViewColumn.Beside, {});
  const policy = "default-src 'none'; style-src 'unsafe-inline'";
  panel.webview.html = `<!DOCTYPE html><html><head><meta http-equiv="Content-Security-Policy" content="${policy}"></head>
<body style="background: white">${drawn.svg}</body></html>`;
}

async function activate(context) {
  const [command, ...args] = vscode.workspace.getConfiguration("robdsl").get("command");
  client = new LanguageClient("robdsl", "robdsl", { command, args }, { documentSelector: [{ language: "rob" }] });
  context.subscriptions.push(vscode.commands.registerCommand("robdsl.showCell", showCell));
  await client.start();
}

function deactivate() {
  return client ? client.stop() : undefined;
}

module.exports = { activate, deactivate };
