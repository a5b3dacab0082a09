//! `pointsman certs`: a small CA and certificates for brokers, for trials of `mode: passthrough` with TLS.
//!
//! Behind passthrough TLS ends at the broker, but clients call it by Pointsman's name: so each broker's certificate has both
//! names. Nothing made here is fit for production, and says so in every subject. The CA's key is never written: whoever trusts
//! `ca.pem` trusts these certificates and no others.

mod make;
#[cfg(test)]
mod tests;

use crate::{
    args::CertsArgs,
    output::{self, File},
};
pub(crate) use make::Authority;
use make::Issued;
use std::process::ExitCode;

/// Makes and writes everything, or says why not.
pub(crate) fn run(args: &CertsArgs) -> ExitCode {
    let written = files(args).and_then(|files| output::write(&args.out, &files, args.force).map(|()| files));
    match written {
        Ok(files) => {
            print!("{}", words(args, &files));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("pointsman: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is to be written: the CA's certificate, then three files for each broker and client.
fn files(args: &CertsArgs) -> Result<Vec<File>, String> {
    let authority = Authority::new()?;
    let mut files = vec![File::public("ca.pem".into(), authority.pem())];
    let mut add = |name: &str, issued: &Issued| {
        let base = file_name(name);
        let Issued { chain, key } = issued;
        let more = [
            File::public(format!("{base}.pem"), chain.clone()),
            File::secret(format!("{base}.key"), key.clone()),
            File::secret(format!("{base}.keystore.pem"), format!("{key}{chain}")),
        ];
        if let Some(twice) = files.iter().find(|known| more.iter().any(|new| new.name == known.name)) {
            return Err(format!(
                "{name} would be written to {}, as another name is: name each once",
                twice.name
            ));
        }
        files.extend(more);
        Ok(())
    };
    for broker in &args.brokers {
        add(broker, &authority.broker(broker, &args.proxies)?)?;
    }
    for client in &args.clients {
        add(client, &authority.client(client)?)?;
    }
    Ok(files)
}

/// A name as a file's name: what is no letter, digit, `.`, `-` or `_` becomes `_`.
fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    name.chars().map(|c| if plain(c) { c } else { '_' }).collect()
}

fn words(args: &CertsArgs, files: &[File]) -> String {
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    format!(
        "FOR TRIALS ONLY: these certificates end in {} days, and the CA's key is gone.\n\
         {}: {}\n\
         brokers: ssl.keystore.type=PEM, ssl.keystore.location=HOST.keystore.pem\n\
         clients: trust ca.pem (Java: ssl.truststore.type=PEM, ssl.truststore.location; librdkafka: ssl.ca.location)\n",
        make::DAYS,
        args.out.display(),
        names.join(" ")
    )
}
