// Draws /openapi.json with Swagger UI: subjects and calls only. It offers no call for sending and asks for no password.

const Plain = (system) => ({
  wrapComponents: {
    // Its choice of an example has no name of its own.
    ExamplesSelect: (Original) => (props) =>
      system.React.createElement("label", null, "Example ", system.React.createElement(Original, props)),
  },
  components: {
    Plain: () => {
      const { createElement } = system.React;
      const Operations = system.getComponent("operations", true);
      return createElement("div", { className: "swagger-ui" }, createElement(Operations));
    },
  },
});

window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api-docs",
  layout: "Plain",
  plugins: [Plain],
  presets: [window.SwaggerUIBundle.presets.apis],
  deepLinking: false,
  defaultModelRendering: "model",
  docExpansion: "none",
  supportedSubmitMethods: [],
  syntaxHighlight: false,
  validatorUrl: null,
  onComplete: () => document.getElementById("api-docs").removeAttribute("aria-busy"),
});
