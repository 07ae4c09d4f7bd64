//! Who is let in. The matrix runs over the table of routes, so that a new route is refused by default here too.

use crate::stage::Stage;
use lanchat::api::routes::{Access, Body, ROUTES, Route};

/// A path of a route with something in its parameters' place.
fn path(route: &Route) -> String {
    let part = |part: &str| if part.starts_with('{') { "style.css".to_owned() } else { part.to_owned() };
    route.path.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn content_type(route: &Route) -> &'static str {
    if matches!(route.body, Body::Image(_)) { "image/png" } else { "application/json" }
}

#[tokio::test]
async fn every_route_refuses_every_other_host_and_origin() {
    let stage = Stage::new().await;
    let port = stage.port();
    for route in ROUTES {
        let request = || stage.request(route.method.as_str(), &path(route));
        let bad = |name: &str, value: &str| request().with(name, value).ask();
        for host in [
            "evil.example".to_owned(),
            format!("evil.example:{port}"),
            "127.0.0.1".to_owned(),
            format!("127.0.0.1:{}", port.wrapping_add(1)),
            format!("0.0.0.0:{port}"),
            format!("127.0.0.1.evil.example:{port}"),
            format!("localhost:{port}:{port}"),
            String::new(),
        ] {
            let said = bad("Host", &host).await;
            assert_eq!((said.status, said.code().as_str()), (403, "forbidden"), "{} host {host}", route.path);
        }
        let said = request().without("Host").ask().await;
        assert!(matches!(said.status, 400 | 403), "{} without a host: {}", route.path, said.status);
        for origin in [
            "http://evil.example".to_owned(),
            "null".to_owned(),
            format!("https://127.0.0.1:{port}"),
            format!("http://localhost:{port}"),
            format!("http://127.0.0.1:{}", port.wrapping_add(1)),
            format!("http://127.0.0.1:{port}.evil.example"),
        ] {
            assert_eq!(bad("Origin", &origin).await.status, 403, "{} origin {origin}", route.path);
        }
        for site in ["cross-site", "same-site", "anything"] {
            assert_eq!(bad("Sec-Fetch-Site", site).await.status, 403, "{} site {site}", route.path);
        }
    }
}

#[tokio::test]
async fn every_route_but_the_open_ones_needs_the_token() {
    let stage = Stage::new().await;
    for route in ROUTES {
        let request = || {
            let wish = stage.request(route.method.as_str(), &path(route));
            wish.with("Content-Type", content_type(route))
        };
        if route.access == Access::Open {
            // These prove themselves otherwise or hold nothing of anybody; a new one has to be added here on purpose.
            let known = ["/", "/{file}", "/api/v1/session", "/api/v1/events"];
            assert!(known.contains(&route.path), "{} is open", route.path);
            continue;
        }
        let good = format!("Bearer {}", stage.file.token);
        for bad in
            ["", "Bearer", "Bearer ", "Bearer wrong", "Basic x", &good.to_lowercase(), &format!("{good}x")]
        {
            let said = request().with("Authorization", bad).ask().await;
            assert_eq!(said.status, 401, "{} {} with '{bad}'", route.method, route.path);
        }
        let said = request().without("Authorization").ask().await;
        assert_eq!((said.status, said.code().as_str()), (401, "unauthorized"), "{}", route.path);
        let said = request().without("Authorization").with("Cookie", &stage.file.token).ask().await;
        assert_eq!(said.status, 401, "{} with a cookie", route.path);
        let wish =
            stage.request(route.method.as_str(), &format!("{}?ticket={}", path(route), stage.file.token));
        let said = wish.with("Content-Type", content_type(route)).without("Authorization").ask().await;
        assert_eq!(said.status, 401, "{} with the token in the address", route.path);
    }
}

#[tokio::test]
async fn a_body_needs_a_content_type_that_no_form_sends() {
    let stage = Stage::new().await;
    for route in ROUTES.iter().filter(|route| route.body != Body::None) {
        let request = || stage.request(route.method.as_str(), &path(route));
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
        {
            let said = request().with("Content-Type", kind).ask().await;
            assert_eq!((said.status, said.code().as_str()), (415, "media_type"), "{} {kind}", route.path);
        }
        assert_eq!(request().without("Content-Type").ask().await.status, 415, "{}", route.path);
    }
}

#[tokio::test]
async fn other_methods_are_refused() {
    let stage = Stage::new().await;
    for route in ROUTES {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let here = |other: &&Route| other.path == route.path && other.method.as_str() == method;
            if ROUTES.iter().any(|other| here(&other)) {
                continue;
            }
            let said = stage.request(method, &path(route)).ask().await;
            assert_eq!(said.status, 405, "{method} {}", route.path);
            assert!(!said.head.contains("access-control-allow"), "{method} {}", route.path);
        }
    }
}

#[tokio::test]
async fn bodies_are_bounded() {
    let stage = Stage::new().await;
    for route in ROUTES {
        let Body::Json(most) = route.body else { continue };
        let said = stage.request(route.method.as_str(), &path(route)).body(vec![b' '; most + 1]).ask().await;
        // Routes that read no body have nothing to bound.
        let reads_none = ["/code", "/logout", "/shutdown", "/reject", "/pause", "/resume", "/cancel"]
            .iter()
            .any(|end| route.path.ends_with(end));
        assert!(said.status == 413 || said.status == 0 || reads_none, "{}: {}", route.path, said.status);
        if route.path == "/api/v1/shutdown" {
            return;
        }
    }
}

#[tokio::test]
async fn every_answer_carries_the_page_s_policy() {
    let stage = Stage::new().await;
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/app.js"),
        ("GET", "/api/v1/users"),
        ("GET", "/nowhere/at/all"),
        ("PATCH", "/"),
    ] {
        let said = stage.request(method, path).ask().await;
        for needed in [
            "content-security-policy: default-src 'none'; script-src 'self'",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(said.head.contains(needed), "{method} {path}: {}", said.head);
        }
        assert!(!said.head.contains("set-cookie"));
    }
}

#[tokio::test]
async fn the_page_s_own_name_may_be_any_of_loopback() {
    let stage = Stage::new().await;
    let port = stage.port();
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")] {
        let wish = stage.request("GET", "/api/v1/users").with("Host", &host);
        let said =
            wish.with("Origin", &format!("http://{host}")).with("Sec-Fetch-Site", "same-origin").ask().await;
        assert_eq!(said.status, 200, "{host}");
    }
    let said = stage.request("GET", &format!("http://evil.example:{port}/")).ask().await;
    assert_eq!(said.status, 403, "another authority in the request line");
}

#[tokio::test]
async fn the_page_uses_nothing_that_its_policy_forbids() {
    let stage = Stage::new().await;
    let page = stage.request("GET", "/").without("Authorization").ask().await;
    assert_eq!(page.status, 200);
    assert!(page.head.contains("text/html"));
    for inline in ["<style", " style=", " onclick", "javascript:", "<script>"] {
        assert!(!page.body.contains(inline), "{inline}");
    }
    for file in ["app.js", "api.js", "view.js", "lang.js"] {
        let script = stage.request("GET", &format!("/{file}")).without("Authorization").ask().await;
        assert_eq!(script.status, 200, "{file}");
        for forbidden in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", ".style."]
        {
            assert!(!script.body.contains(forbidden), "{file}: {forbidden}");
        }
    }
}
