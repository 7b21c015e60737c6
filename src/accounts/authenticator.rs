//! Whose a bearer token is.

use std::sync::Arc;

use async_trait::async_trait;

use super::Accounts;
use super::jwt::Jwt;
use crate::error::Error;
use crate::request::User;
use crate::server::auth::{Authenticator, TokenAuthenticator};

/// Knows the administrator's token, those of accounts, and those that another identity provider has
/// signed.
pub struct AccountAuthenticator {
    pub admin: TokenAuthenticator,
    pub accounts: Arc<Accounts>,
    pub jwt: Option<Jwt>,
}

#[async_trait]
impl Authenticator for AccountAuthenticator {
    async fn authenticate(&self, token: &str) -> Result<Option<Arc<User>>, Error> {
        if let Some(user) = self.admin.check(token) {
            return Ok(Some(user));
        }
        // Tokens of accounts have no dots, and signed ones have two.
        if token.contains('.') {
            return match &self.jwt {
                Some(jwt) => jwt.authenticate(token).await,
                None => Ok(None),
            };
        }
        let user = self.accounts.by_token(token).await?;
        Ok(user.map(|user| {
            Arc::new(User {
                id: user.id,
                name: user.name,
                email_address: user.email_address,
                role: user.role,
            })
        }))
    }
}
