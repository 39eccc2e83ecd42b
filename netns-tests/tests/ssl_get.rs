//! SSL_GET, and what HTTP_GET says of bodies, against nginx: one server of each kind, each on a port of its own.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;
use vipward_lab::{Process, wait_for};
use vipward_netns_tests::{Need, Pair, Router, in_lab, program};

const SOON: Duration = Duration::from_secs(60);

/// A certificate for this name, signed by itself, and its key.
fn certificate(pair: &Pair, name: &str) -> String {
    let file = pair.folder.path().join(format!("{name}.pem"));
    let file = file.display().to_string();
    let mut openssl = Command::new("openssl");
    openssl
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj"])
        .arg(format!("/CN={name}"))
        .args(["-keyout", &file, "-out", &file]);
    // With both names for one file openssl writes the certificate behind the key.
    let made = openssl.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("BEGIN CERTIFICATE") && text.contains("PRIVATE KEY"), "{text}");
    file
}

fn nginx(pair: &Pair) -> Process {
    let folder = pair.folder.path().join("web1");
    std::fs::create_dir_all(&folder).unwrap();
    let (one, other) = (certificate(pair, "one.example"), certificate(pair, "other.example"));
    let folder = folder.display();
    let files = |file: &str| format!("ssl_certificate {file}; ssl_certificate_key {file};");
    let (one, other) = (files(&one), files(&other));
    let text = format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{ }}\nhttp {{\n\
         access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n\
         fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
         server {{ listen 443 ssl; {one} ssl_protocols TLSv1.2; return 200 'all ok'; }}\n\
         server {{ listen 444 ssl; {one} ssl_protocols TLSv1.3; return 200 'all ok'; }}\n\
         server {{ listen 445 ssl default_server; {one} ssl_reject_handshake on; return 200 $ssl_server_name; }}\n\
         server {{ listen 445 ssl; server_name other.example; {other} return 200 $ssl_server_name; }}\n\
         server {{ listen 446; return 200 'all ok'; }}\n\
         server {{ listen 448 ssl; {one} ssl_verify_client optional_no_ca;\n\
         if ($ssl_client_verify = NONE) {{ return 403; }} return 200 $ssl_client_s_dn; }}\n\
         server {{ listen 449 ssl; {one} ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0; return 200; }}\n}}\n"
    );
    let file = pair.file("web1.nginx", &text).unwrap();
    let mut command = Command::new(program("nginx").unwrap());
    command.arg("-c").arg(file);
    let process = pair.web1.spawn(command).unwrap();
    // A port that is not bound yet refuses, and that is a verdict.
    let bound = |port| pair.web1.run(move || TcpStream::connect(("127.0.0.1", port))).is_ok();
    assert!(
        wait_for(SOON, || (443..=449).filter(|port| *port != 447).all(bound).then_some(())).is_some(),
        "{}",
        process.output()
    );
    process
}

/// A real server by a port of its own, checked at `port` with these words.
fn real_server(own: u16, port: u16, words: &str, url: &str) -> String {
    format!(
        "    real_server 198.51.100.21 {own} {{\n        SSL_GET {{\n            connect_port {port}\n            alpha\n            \
         connect_timeout 3\n            retry 0\n            {words}\n            url {{\n                path /\n                \
         {url}\n            }}\n        }}\n    }}\n"
    )
}

fn config(servers: &[String], material: &str) -> String {
    let blocks = format!(
        "{material}virtual_server 192.0.2.100 443 {{\n    delay_loop 1\n    warmup 0\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n{}}}\n",
        servers.concat()
    );
    Router { version: 3, advert_int: "0.1", blocks, ..Router::master() }.text()
}

#[test]
fn each_server_is_up_or_says_why_not() {
    in_lab("each_server_is_up_or_says_why_not", &[Need::Nginx], || {
        let pair = Pair::build().unwrap();
        let mut web = nginx(&pair);
        // Its kernel takes connections, and nobody ever answers.
        let _silent = pair.web1.run(|| TcpListener::bind("0.0.0.0:447")).unwrap();
        let ours = certificate(&pair, "check.example");
        let up = [
            real_server(1, 443, "", "regex \"^all ok$\""),
            real_server(2, 444, "tls_compliant", "digest 7f63c7e69e845ee3eaaf588f269f6a3f"),
            real_server(3, 445, "enable_sni\n            sni_name other.example", "regex ^other.example$"),
            real_server(4, 445, "enable_sni\n            virtualhost other.example:445", "status_code 200"),
            real_server(5, 448, "http_protocol 1.1", "regex CN=check.example"),
        ];
        let down = [
            (real_server(6, 445, "", ""), "the server does not know the name"),
            (real_server(7, 446, "", ""), "what the server answers is not TLS"),
            (real_server(8, 447, "", ""), "connected, but no TLS handshake in time"),
            (real_server(9, 449, "", ""), "the server speaks neither TLS 1.2 nor 1.3"),
            (real_server(10, 443, "", "regex \"all well\""), "GET /: the body does not match regex"),
            (real_server(11, 443, "", "status_code 404"), "GET /: status 200"),
        ];
        // Without `alpha` a failure is told with its reason.
        let servers: Vec<String> =
            up.into_iter().chain(down.iter().map(|(server, _)| server.replace("alpha", ""))).collect();
        let material = format!("SSL {{\n    certificate {ours}\n    key {ours}\n}}\n");
        let mut director = pair.vipward_with(&pair.lb1, &config(&servers, &material)).unwrap();
        for port in 1..=5 {
            director.wait_for_line(&format!("198.51.100.21:{port} is up"), SOON).unwrap();
        }
        for (port, (_, why)) in (6..).zip(&down) {
            let line = director.wait_for_line(&format!("198.51.100.21:{port} is down"), SOON).unwrap();
            assert!(line.text.contains(why), "{port}: {}", line.text);
        }
        // A server that dies takes all of them along.
        assert!(web.running());
        web.kill();
        // Refused, or cut off in the middle of a conversation that is under way.
        for port in 1..=5 {
            director.wait_for_line(&format!("198.51.100.21:{port} is down"), SOON).unwrap();
        }
    });
}

#[test]
fn files_that_can_not_be_read_are_no_verdict() {
    in_lab("files_that_can_not_be_read_are_no_verdict", &[Need::Nginx], || {
        let pair = Pair::build().unwrap();
        let _web = nginx(&pair);
        let material = "SSL {\n    certificate /nowhere/c.pem\n    key /nowhere/k.pem\n}\n";
        let server = real_server(1, 443, "", "").replace("alpha", "");
        let mut director = pair.vipward_with(&pair.lb1, &config(&[server], material)).unwrap();
        director.wait_for_line("SSL_GET is not asked: certificate /nowhere/c.pem", SOON).unwrap();
        director.wait_for_line("198.51.100.21:1 could not be asked: the files of `SSL`", SOON).unwrap();
        // It asks again, and says so once.
        let asked_thrice = || (director.output().matches("SSL_GET is not asked").count() >= 3).then_some(());
        assert!(wait_for(SOON, asked_thrice).is_some(), "{}", director.output());
        assert!(!director.output().contains("is down"), "{}", director.output());
    });
}
