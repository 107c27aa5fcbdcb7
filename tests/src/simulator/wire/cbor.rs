//! CBOR as Smithy's RPC v2 protocol uses it: indefinite lengths come in, timestamps go out as tag 1.

use std::convert::Infallible;

use minicbor::data::Type;
use minicbor::decode::Error;
use minicbor::{Decoder, Encoder};
use serde_json::{Map, Number, Value};

use crate::simulator::cloudwatch::Answer;

/// Deepest nesting that a request may have.
const MAX_DEPTH: usize = 32;

/// Reads a request body; an empty one is an empty structure.
pub fn decode(body: &[u8]) -> Result<Value, String> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let mut decoder = Decoder::new(body);
    value(&mut decoder, 0).map_err(|e| format!("the body is not valid CBOR: {e}"))
}

fn value(d: &mut Decoder, depth: usize) -> Result<Value, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::message("nested too deeply"));
    }
    Ok(match d.datatype()? {
        Type::Bool => Value::Bool(d.bool()?),
        Type::Null => {
            d.null()?;
            Value::Null
        }
        Type::Undefined => {
            d.undefined()?;
            Value::Null
        }
        Type::U8
        | Type::U16
        | Type::U32
        | Type::U64
        | Type::I8
        | Type::I16
        | Type::I32
        | Type::I64 => Value::from(d.i64()?),
        Type::F16 => float(f64::from(d.f16()?))?,
        Type::F32 => float(f64::from(d.f32()?))?,
        Type::F64 => float(d.f64()?)?,
        Type::String => Value::from(d.str()?),
        Type::StringIndef => Value::from(d.str_iter()?.collect::<Result<Vec<_>, _>>()?.concat()),
        Type::Array | Type::ArrayIndef => {
            let length = d.array()?;
            let mut items = Vec::new();
            while more(d, length, items.len() as u64)? {
                items.push(value(d, depth + 1)?);
            }
            Value::Array(items)
        }
        Type::Map | Type::MapIndef => {
            let length = d.map()?;
            let mut fields = Map::new();
            let mut seen = 0;
            while more(d, length, seen)? {
                let Value::String(key) = value(d, depth + 1)? else {
                    return Err(Error::message("a key that is not text"));
                };
                fields.insert(key, value(d, depth + 1)?);
                seen += 1;
            }
            Value::Object(fields)
        }
        Type::Tag => {
            d.tag()?;
            value(d, depth + 1)?
        }
        other => return Err(Error::message(format!("{other} is not used in requests"))),
    })
}

fn float(number: f64) -> Result<Value, Error> {
    Number::from_f64(number)
        .map(Value::Number)
        .ok_or_else(|| Error::message("a number that is not finite"))
}

/// Whether a list or map goes on; consumes the break that ends an indefinite one.
fn more(d: &mut Decoder, length: Option<u64>, seen: u64) -> Result<bool, Error> {
    if let Some(length) = length {
        return Ok(seen < length);
    }
    if d.datatype()? == Type::Break {
        d.set_position(d.position() + 1);
        return Ok(false);
    }
    Ok(true)
}

/// Writes any answer that has no timestamps.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    let Ok(()) = write(&mut encoder, value).map_err(|e| never(&e));
    encoder.into_writer()
}

type Written = Result<(), minicbor::encode::Error<Infallible>>;

fn never(error: &minicbor::encode::Error<Infallible>) -> Infallible {
    unreachable!("writing to memory cannot fail: {error}")
}

fn write(e: &mut Encoder<Vec<u8>>, value: &Value) -> Written {
    match value {
        Value::Null => e.null()?,
        Value::Bool(flag) => e.bool(*flag)?,
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => e.i64(whole)?,
            (None, Some(double)) => e.f64(double)?,
            (None, None) => e.null()?,
        },
        Value::String(text) => e.str(text)?,
        Value::Array(items) => {
            e.array(items.len() as u64)?;
            for item in items {
                write(e, item)?;
            }
            e
        }
        Value::Object(fields) => {
            e.map(fields.len() as u64)?;
            for (key, item) in fields {
                e.str(key)?;
                write(e, item)?;
            }
            e
        }
    };
    Ok(())
}

/// Writes the answer to `GetMetricData`.
pub fn encode_metric_data(answer: &Answer) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::with_capacity(
        64 * answer.results.len() + 16 * answer.datapoints(),
    ));
    let Ok(()) = write_metric_data(&mut encoder, answer).map_err(|e| never(&e));
    encoder.into_writer()
}

fn write_metric_data(e: &mut Encoder<Vec<u8>>, answer: &Answer) -> Written {
    e.map(2 + u64::from(answer.next_token.is_some()))?;
    e.str("Messages")?
        .array(u64::from(answer.message.is_some()))?;
    if let Some(text) = answer.message {
        e.map(2)?;
        e.str("Code")?.str("ArgumentTruncation")?;
        e.str("Value")?.str(text)?;
    }
    if let Some(token) = &answer.next_token {
        e.str("NextToken")?.str(token)?;
    }
    e.str("MetricDataResults")?
        .array(answer.results.len() as u64)?;
    for result in &answer.results {
        e.map(5)?;
        e.str("Id")?.str(&result.id)?;
        e.str("Label")?.str(&result.label)?;
        e.str("StatusCode")?.str(result.status)?;
        e.str("Timestamps")?.array(result.timestamps.len() as u64)?;
        for at in &result.timestamps {
            e.tag(minicbor::data::Tag::new(1))?.i64(*at)?;
        }
        e.str("Values")?.array(result.values.len() as u64)?;
        for value in &result.values {
            e.f64(*value)?;
        }
    }
    Ok(())
}
