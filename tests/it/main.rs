//! Black-box tests against a running host.

// What tests share is test code too, which clippy cannot tell.
#![allow(clippy::unwrap_used)]

mod accounts;
mod acknowledged;
mod admin;
mod admin_client;
mod attacks;
mod bad_input;
mod binary;
mod community;
mod config;
mod constraints;
mod data;
mod data_limits;
mod databases;
mod events;
mod from_table;
mod graphql;
mod keeping;
mod killed;
mod lifecycle;
mod migrations;
mod neighbors;
mod outbound;
mod packages;
mod payments;
mod permissions;
mod process;
mod raw_role;
mod reload;
mod sdl;
mod services;
mod shipped;
mod sigkill;
mod support;
mod upgrade;
mod waiting;
mod webhooks;
