//! The list, in PostgreSQL.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use socketioxide::ParserError;
use tokio::sync::Mutex;
use tokio_postgres::{Client, NoTls, Row};

/// Two servers may start at the same time.
const TABLE: &str = "
    BEGIN;
    SELECT pg_advisory_xact_lock(hashtext('todo'));
    CREATE TABLE IF NOT EXISTS todo (id serial PRIMARY KEY, title text NOT NULL, done boolean NOT NULL DEFAULT false,
        revision integer NOT NULL DEFAULT 1);
    COMMIT";

#[derive(Serialize)]
pub(crate) struct Entry {
    id: i32,
    title: String,
    done: bool,
    revision: i32,
}

#[derive(Deserialize)]
pub(crate) struct Create {
    title: String,
}

#[derive(Deserialize)]
pub(crate) struct Update {
    id: i32,
    revision: i32,
    title: Option<String>,
    done: Option<bool>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(crate) enum Failure {
    Invalid {
        reason: String,
    },
    NotFound,
    /// Somebody else has changed it meanwhile, to this.
    Conflict {
        current: Entry,
    },
    Unavailable,
}

/// The list in PostgreSQL. A larger application has a pool of connections.
#[derive(Clone)]
pub(crate) struct List {
    url: Arc<str>,
    client: Arc<Mutex<Arc<Client>>>,
}

impl List {
    pub(crate) async fn open(url: &str) -> Result<Self, tokio_postgres::Error> {
        let client = connect(url).await?;
        client.batch_execute(TABLE).await?;
        Ok(Self { url: url.into(), client: Arc::new(Mutex::new(client)) })
    }

    /// The connection, made again if the database was restarted.
    async fn client(&self) -> Result<Arc<Client>, Failure> {
        let mut client = self.client.lock().await;
        if client.is_closed() {
            *client = connect(&self.url).await?;
        }
        Ok(Arc::clone(&client))
    }

    pub(crate) async fn all(&self) -> Result<Vec<Entry>, Failure> {
        Ok(self.client().await?.query("SELECT * FROM todo ORDER BY id", &[]).await?.into_iter().map(entry).collect())
    }

    pub(crate) async fn read(&self, id: Result<i32, ParserError>) -> Result<Entry, Failure> {
        let found = self.client().await?.query_opt("SELECT * FROM todo WHERE id = $1", &[&id?]).await?;
        found.map(entry).ok_or(Failure::NotFound)
    }

    pub(crate) async fn create(&self, new: Result<Create, ParserError>) -> Result<Entry, Failure> {
        let title = checked(new?.title)?;
        Ok(entry(self.client().await?.query_one("INSERT INTO todo (title) VALUES ($1) RETURNING *", &[&title]).await?))
    }

    pub(crate) async fn update(&self, wish: Result<Update, ParserError>) -> Result<Entry, Failure> {
        let Update { id, revision, title, done } = wish?;
        let title = title.map(checked).transpose()?;
        let sql = "UPDATE todo SET title = coalesce($3, title), done = coalesce($4, done), revision = revision + 1
            WHERE id = $1 AND revision = $2 RETURNING *";
        match self.client().await?.query_opt(sql, &[&id, &revision, &title, &done]).await? {
            Some(row) => Ok(entry(row)),
            None => Err(Failure::Conflict { current: self.read(Ok(id)).await? }),
        }
    }

    pub(crate) async fn delete(&self, id: Result<i32, ParserError>) -> Result<i32, Failure> {
        let deleted = self.client().await?.query_opt("DELETE FROM todo WHERE id = $1 RETURNING id", &[&id?]).await?;
        deleted.map(|row| row.get("id")).ok_or(Failure::NotFound)
    }
}

async fn connect(url: &str) -> Result<Arc<Client>, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection); // ends with the client
    Ok(Arc::new(client))
}

fn entry(row: Row) -> Entry {
    Entry { id: row.get("id"), title: row.get("title"), done: row.get("done"), revision: row.get("revision") }
}

fn checked(title: String) -> Result<String, Failure> {
    let title = title.trim();
    match title.chars().count() {
        1..=200 if !title.contains('\0') => Ok(title.to_owned()),
        _ => Err(Failure::Invalid { reason: "a title has 1 to 200 characters".to_owned() }),
    }
}

impl From<ParserError> for Failure {
    fn from(error: ParserError) -> Self {
        Self::Invalid { reason: error.to_string() }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        eprintln!("the store: {error}");
        Self::Unavailable
    }
}
