(function () {
  "use strict";
  var states = {};
  function put(element, text) {
    text = text === null || text === undefined ? "–" : String(text);
    if (element && element.textContent !== text) element.textContent = text;
  }
  function span(seconds) {
    if (seconds === null || seconds === undefined) return null;
    var h = Math.floor(seconds / 3600), m = Math.floor(seconds % 3600 / 60), s = seconds % 60;
    return (h ? h + " h " : "") + (h || m ? m + " min " : "") + s + " s";
  }
  function failure(error) {
    if (!error) return null;
    var parts = [error.kind, error.status, error.code, error.reason, error.message];
    return parts.filter(function (it) { return it; }).join(" · ");
  }
  function requests(counts) {
    var keys = Object.keys(counts).filter(function (key) { return counts[key]; });
    return keys.map(function (key) { return key + ": " + counts[key]; }).join(", ") || "none";
  }
  function row(provider) {
    return [
      provider.kind, provider.state, span(provider.remaining), provider.refresh_at, provider.fetches,
      provider.rejections, requests(provider.requests), provider.secrets_found ? "found" : "not found",
      failure(provider.last_error), span(provider.next_attempt), provider.token_endpoint, provider.base_url
    ];
  }
  function show(status) {
    put(document.getElementById("ready"), status.ready ? "yes" : "no");
    put(document.getElementById("uptime"), span(status.uptime));
    put(document.getElementById("path"), status.configuration.path);
    put(document.getElementById("sha256"), status.configuration.sha256);
    put(document.getElementById("read"), status.configuration.read_at);
    put(document.getElementById("error"), status.configuration.error);
    document.getElementById("error").className = status.configuration.error ? "bad" : "";
    var body = document.getElementById("providers"), news = [], seen = {};
    status.providers.forEach(function (provider) {
      var id = "p-" + provider.name, line = document.getElementById(id);
      seen[id] = true;
      if (!line) {
        line = document.createElement("tr");
        line.id = id;
        var head = document.createElement("th");
        head.scope = "row";
        head.textContent = provider.name;
        line.appendChild(head);
        row(provider).forEach(function () { line.appendChild(document.createElement("td")); });
        body.appendChild(line);
      }
      row(provider).forEach(function (text, at) { put(line.cells[at + 1], text); });
      var old = states[provider.name];
      if (old && old !== provider.state) news.push(provider.name + " is " + provider.state);
      states[provider.name] = provider.state;
    });
    Array.prototype.slice.call(body.rows).forEach(function (line) {
      if (!seen[line.id]) body.removeChild(line);
    });
    if (news.length) put(document.getElementById("news"), news.join("; "));
  }
  function poll() {
    fetch("/-/status").then(function (answer) { return answer.json(); }).then(show, function () {
      put(document.getElementById("ready"), "no answer");
    }).then(function () { setTimeout(poll, 2000); });
  }
  var events = new EventSource("/-/events");
  events.onmessage = function (event) { show(JSON.parse(event.data)); };
  events.onerror = function () {
    if (events.readyState === EventSource.CLOSED) poll();
    else put(document.getElementById("ready"), "no answer");
  };
})();
